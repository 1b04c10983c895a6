/** Which study this browser was running: a page that comes back goes on with it. Small, because every visit reads it. */
const KEY = 'passage-lab-study';

class Flag {
  /** Id of the running study. */
  going: string | null = $state(null);
  /** In per cent, for the tab's name. */
  percent: number | null = $state(null);

  remembered(): string | null {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  }

  set(id: string | null): void {
    this.going = id;
    if (id === null) this.percent = null;
    try {
      if (id) localStorage.setItem(KEY, id);
      else localStorage.removeItem(KEY);
    } catch {
      // without storage there is nothing to come back to
    }
  }
}

export const flag = new Flag();
