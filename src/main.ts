import { mount } from 'svelte';
import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/source-serif-4/wght.css';
import './ui/style/base.css';
import App from './ui/App.svelte';
import { pageChartCss } from './ui/state/theme.svelte';

const style = document.createElement('style');
style.textContent = pageChartCss();
document.head.append(style);

mount(App, { target: document.getElementById('app')! });
