// In a process of its own: what instrumenting a file costs the first time, and how far it raises the process' peak memory.
// Arguments: onnx.mjs, the model file.
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const { prepareModel } = await import(pathToFileURL(process.argv[2]).href);
const model = new Uint8Array(readFileSync(process.argv[3]));

const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
/** Linux forgets its peak on request; elsewhere the peak since the start has to do. */
const forget = () => {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
    return () => field('VmHWM');
  } catch {
    return () => process.resourceUsage().maxRSS * 1024;
  }
};
globalThis.gc();
const peak = forget();
const before = peak();
const started = process.cpuUsage();
const { bytes } = prepareModel(model);
const { user, system } = process.cpuUsage(started);
console.log(JSON.stringify({ peak: peak() - before, made: bytes.byteLength, cpu: (user + system) / 1000 }));
