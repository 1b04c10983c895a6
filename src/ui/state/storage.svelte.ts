/** What is kept on this device. */
import type { StorageReport } from '../../types';
import { getLab, toTrouble, type Trouble } from '../lab-api';

class Storage {
  report: StorageReport | null = $state.raw(null);
  trouble: Trouble | null = $state.raw(null);

  refresh(): Promise<void> {
    return this.#do(async () => (this.report = await (await getLab()).storage()));
  }
  remove(url: string | null): Promise<void> {
    return this.#do(async () => {
      const lab = await getLab();
      try {
        this.report = await lab.deleteStored(url);
      } catch (error) {
        // something stayed, the rest is gone
        this.report = await lab.storage();
        throw error;
      }
    });
  }
  persist(): Promise<void> {
    return this.#do(async () => {
      const lab = await getLab();
      await lab.persist();
      this.report = await lab.storage();
    });
  }

  async #do(work: () => Promise<unknown>): Promise<void> {
    this.trouble = null;
    try {
      await work();
    } catch (error) {
      this.trouble = toTrouble(error);
    }
  }
}

export const storage = new Storage();
