/** Light or dark: the system's choice until the reader makes one. Charts need the resolved value, CSS only the attribute. */
import { CHART_CSS, darkTheme, lightTheme, themeProperties, type Theme as ChartTheme } from '../../charts/theme';

export type ThemeName = 'light' | 'dark';

const KEY = 'passage.theme';
const system = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  chosen = $state<ThemeName | null>(null);
  systemDark = $state(system.matches);
  name: ThemeName = $derived(this.chosen ?? (this.systemDark ? 'dark' : 'light'));

  constructor() {
    system.addEventListener('change', (e) => (this.systemDark = e.matches));
    try {
      const kept = localStorage.getItem(KEY);
      if (kept === 'light' || kept === 'dark') this.choose(kept);
    } catch {
      // a browser that refuses storage still has a theme
    }
  }

  choose(name: ThemeName): void {
    this.chosen = name;
    document.documentElement.dataset.theme = name;
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // see above
    }
  }

  toggle(): void {
    this.choose(this.name === 'dark' ? 'light' : 'dark');
  }
}

export const theme = new Theme();

/** The charts' colours as custom properties; neutral ones are the page's own, so that pictures sit on its paper. */
const OWN = 'background surface ink muted line accent'.split(' ');
const PAGE: Record<string, string> = { background: 'paper', surface: 'wash', ink: 'ink', muted: 'ink-3', line: 'rule', accent: 'accent' };

export function pageChartCss(): string {
  const rule = (t: ChartTheme) =>
    themeProperties(t)
      .filter(([k]) => !OWN.includes(k.slice('--chart-'.length)))
      .map(([k, v]) => `${k}:${v};`)
      .join('');
  const own = OWN.map((k) => `--chart-${k}:var(--${PAGE[k]});`).join('');
  return `:root{${own}${rule(lightTheme)}}
@media (prefers-color-scheme: dark){:root:not([data-theme='light']){${rule(darkTheme)}}}
:root[data-theme='dark']{${rule(darkTheme)}}
${CHART_CSS}`;
}
