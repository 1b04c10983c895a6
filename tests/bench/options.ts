/** What `npm run bench` is asked to do. */

export const PARTS = ['decode', 'probe', 'instrument', 'traffic', 'relevance', 'patch', 'study', 'page'] as const;
export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  devices: ('wasm' | 'webgpu')[];
  parts: readonly Part[];
  /** Also a random model of SmolLM2-135M's shape; WASM only. */
  big: 'fp32' | 'q4' | null;
  /** Isolated pages: as many WASM threads as the machine gives, for both sides. Default: one, which every host allows. */
  threads: boolean;
  /** Repetitions per figure on WASM; WebGPU takes a third of them. */
  repetitions: number;
  /** Of the study's slice; five are XQuAD's. */
  paragraphs: number;
  /** A folder in hub layout instead of the bundled model. */
  model: string | null;
  /** Parts of the table as JSON lines on stdout too. */
  json: boolean;
}

const USAGE = `npm run bench -- [flags]
  --big[=fp32]        also a random model of SmolLM2-135M's shape, built in a temporary folder (4-bit unless fp32 is said)
  --device=wasm       one device only (wasm or webgpu)
  --only=decode,…     some parts only: ${PARTS.join(', ')}
  --threads           as many WASM threads as there are cores, for both sides (default: one)
  --repetitions=9     how often each figure is taken; the median is printed
  --paragraphs=5      how many paragraphs the study's slice has (default 1)
  --model=<folder>    a model folder in the hub's layout instead of the bundled one
  --json              the rows as JSON too`;

/** @throws after printing how it is used, when a flag is unknown */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const options: BenchOptions = { devices: ['wasm', 'webgpu'], parts: PARTS, big: null, threads: false, repetitions: 9, paragraphs: 1, model: null, json: false };
  for (const argument of argv) {
    const [flag, value = ''] = argument.split(/=(.*)/s);
    if (flag === '--big') options.big = value === 'fp32' ? 'fp32' : 'q4';
    else if (flag === '--device' && (value === 'wasm' || value === 'webgpu')) options.devices = [value];
    else if (flag === '--only' && value.split(',').every(isPart)) options.parts = value.split(',').filter(isPart);
    else if (flag === '--threads') options.threads = true;
    else if (flag === '--repetitions' && Number(value) >= 1) options.repetitions = Math.floor(Number(value));
    else if (flag === '--paragraphs' && Number(value) >= 1) options.paragraphs = Math.floor(Number(value));
    else if (flag === '--model' && value) options.model = value;
    else if (flag === '--json') options.json = true;
    else throw new Error(`unknown flag: ${argument}\n\n${USAGE}`);
  }
  return options;
}

const isPart = (name: string): name is Part => (PARTS as readonly string[]).includes(name);
