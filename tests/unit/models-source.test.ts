import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { contentOf } from '../../src/models/source';

interface Listed {
  ref: { id: string };
  files: { path: string; bytes: number; sha256: string }[];
}
const models = JSON.parse(readFileSync(new URL('../../public/models/index.json', import.meta.url), 'utf8')) as Listed[];

describe('a bundled model has its content for a revision', () => {
  it('each its own, the same whatever the order of its files', async () => {
    const all = await Promise.all(models.map((m) => contentOf(m.files)));
    expect(new Set(all).size).toBe(models.length);
    for (const revision of all) expect(revision).toMatch(/^[0-9a-f]{12}$/);
    expect(await contentOf([...models[0].files].reverse())).toBe(all[0]);
  });
  it('another one once it has been trained anew, none where a hash is not known', async () => {
    const [{ files }] = models;
    const trained = files.map((f) => (f.path.endsWith('.onnx') ? { ...f, sha256: '0'.repeat(64) } : f));
    expect(await contentOf(trained)).not.toBe(await contentOf(files));
    expect(await contentOf([{ path: 'config.json', bytes: 1, sha256: null }])).toBeNull();
  });
});
