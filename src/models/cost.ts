/** What loading a model reads. Pure. */
import type { Choice, RemoteFile } from './choose';

/** Beside the graph and its weights; of these, those that a repository has. */
const SMALL_FILES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'generation_config.json', 'chat_template.jinja'];

/** All of it in bytes; null where the host does not say how large a file is. */
export function bytesToRead(files: readonly RemoteFile[], choice: Choice): number | null {
  const paths = [choice.path, ...choice.data.map((d) => d.path)];
  const read = files.filter((f) => SMALL_FILES.includes(f.path) || paths.includes(f.path));
  return read.reduce<number | null>((sum, { bytes }) => (sum === null || bytes === null ? null : sum + bytes), 0);
}
