import { join } from 'node:path';
import { test } from 'vitest';
import type { LabClient } from '../../src/lab-client';
import { launch, serve, visitLab } from '../harness';
import { randomModel } from '../bench/folder';
import { SMOLLM2_135M } from '../bench/graph';
const ROOT = join(import.meta.dirname, '../..');
test('measure', { timeout: 1_200_000 }, async () => {
  if (0) randomModel('nbits', { ...SMOLLM2_135M, layers: 1, width: 1152, heads: 18, kvHeads: 6, inner: 300032, vocab: 8192 }, 'q4', '/tmp/hubx', '');
  if (0) randomModel('bind184', { ...SMOLLM2_135M, layers: 2, vocab: 80000 }, 'fp32', '/tmp/hubx', '');
  if (0) randomModel('bind276', { ...SMOLLM2_135M, layers: 2, vocab: 120000 }, 'fp32', '/tmp/hubx', '');
  if (0) randomModel('smol', SMOLLM2_135M, 'q4', '/tmp/hubx', '');
  const served = await serve({ mounts: { '/lab/': join(ROOT, 'dist'), '/fixtures/models/': '/tmp/hubx/models' } });
  const browser = await launch();
  for (const [name, dtype, device, low] of [['nbits','q4','webgpu',true]] as const) {
    const visit = await visitLab(browser, served.url);
    await visit.page.evaluate(async () => { await (window as unknown as { own: LabClient }).own.capabilities(); });
    for (const w of visit.page.workers()) await w.evaluate((low) => {
      const orig = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (d) {
        console.log('LIMITS', this.limits.maxBufferSize, this.limits.maxStorageBufferBindingSize);
        const desc = low ? { ...d, requiredLimits: { ...d?.requiredLimits, maxBufferSize: 268435456, maxStorageBufferBindingSize: 134217728 } } : d;
        const dev = await orig.call(this, desc);
        dev.addEventListener('uncapturederror', (e) => console.log('GPUERR', (e as GPUUncapturedErrorEvent).error.message.slice(0, 300)));
        return dev;
      };
    }, low).catch((e) => console.log('noworker', e));
    visit.page.on('console', (m) => console.log('  page:', m.text().slice(0, 300)));
    const r = await visit.page.evaluate(async ({ id, host, dtype, device }) => {
      const lab = (window as unknown as { own: LabClient }).own;
      const t0 = performance.now();
      const phases: string[] = []; const ctl = new AbortController();
      let last = '';
      try {
        const m = await lab.load({ id, dtype, host }, { device, signal: ctl.signal, onProgress: (p) => { if (p.phase === 'self-test') ctl.abort(); if (p.phase !== last) { last = p.phase; phases.push(`${p.phase}@${(performance.now() - t0).toFixed(0)}`); } } });
        return phases.join(' ') + '\n' + m.selfTest!.checks.map((c) => `${c.passed} ${c.name}: ${c.detail}`).join('\n');
      } catch (e) { return phases.join(' ') + `\n${(e as {code: string}).code} ${(e as Error).message}`; }
    }, { id: `tiny/${name}`, host: `${served.origin}/mirror`, dtype, device });
    console.log('RESULT', name, device, low, r);
    await visit.close();
  }
  await browser.close(); await served.close();
});
