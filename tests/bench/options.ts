/** What `npm run bench` is asked to do. */

export const PARTS = ['decode', 'probe', 'instrument', 'traffic', 'relevance', 'patch', 'study', 'page'] as const;
export type Part = (typeof PARTS)[number];

export interface BenchOptions {
  devices: ('wasm' | 'webgpu')[];
  parts: readonly Part[];
  /** Also random models of SmolLM2-135M's shape and of 24 layers × 896, WASM only; null leaves them out. */
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
  --quick             without the large random models, which are built in a temporary folder and take most of the time
  --big=fp32          the one of SmolLM2-135M's shape in full precision instead of 4 bits
  --device=wasm       one device only (wasm or webgpu)
  --only=decode,…     some parts only: ${PARTS.join(', ')}
  --threads           as many WASM threads as there are cores, for both sides (default: one)
  --repetitions=9     how often each figure is taken; the median is printed
  --paragraphs=5      how many paragraphs the study's slice has (default 1)
  --model=<folder>    a model folder in the hub's layout instead of the bundled one
  --json              the rows as JSON too`;

/** @throws after printing how it is used, when a flag is unknown */
export function parseOptions(argv: readonly string[]): BenchOptions {
  const options: BenchOptions = { devices: ['wasm', 'webgpu'], parts: PARTS, big: 'q4', threads: false, repetitions: 9, paragraphs: 1, model: null, json: false };
  for (const argument of argv) {
    const [flag, value = ''] = argument.split(/=(.*)/s);
    if (flag === '--quick') options.big = null;
    else if (flag === '--big' && value === 'fp32') options.big = value;
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
