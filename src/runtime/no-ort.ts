/**
 * What transformers.js gets in place of onnxruntime-web (see vite.config.ts): the lab uses its tokenizers only, and a second
 * runtime would be shipped, and pointed at a CDN, by merely importing it. There is no `env` here, so nothing is configured.
 */
const refuse = (): never => {
  throw new Error('The lab runs models itself; transformers.js only tokenizes here.');
};

export const InferenceSession = { create: refuse };

export class Tensor {
  constructor() {
    refuse();
  }
}
