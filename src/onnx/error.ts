/**
 * `broken`: the bytes are not a well-formed ONNX file.
 * `unsupported`: a sound file, but not a graph the lab can look into; the message says why, in words fit for a reader.
 */
export class OnnxError extends Error {
  override readonly name = 'OnnxError';
  constructor(
    readonly code: 'broken' | 'unsupported',
    message: string,
  ) {
    super(message);
  }
}
