/**
 * Collects changes to a model and rebuilds its file in one pass: what is untouched is copied as bytes, what is replaced is
 * written anew.  Nodes need not be in topological order for ONNX Runtime, so additions simply come last.
 */
import { BYTES, ProtoReader, ProtoWriter, varint } from './proto';
import type { ByteRange, OnnxModel } from './types';
import { INT64, writeNode, writeTensor, writeValueInfo, type NodeSpec } from './write';
import type { OnnxValueInfo } from './types';

export class GraphEdit {
  /** Content start in the original file → new content, or null to leave the field out. */
  private readonly replaced = new Map<number, Uint8Array | null>();
  private readonly added = new ProtoWriter();
  private readonly opsets = new Map<string, number>();
  private readonly constants = new Set<string>();

  constructor(readonly model: OnnxModel) {}

  /** Gives a node, tensor or value (by its range) another content; null drops it. */
  replace(range: ByteRange, content: Uint8Array | null): void {
    this.replaced.set(range.start, content);
  }

  node(spec: NodeSpec): void {
    this.rawNode(writeNode(spec));
    if (spec.domain && !this.model.opsets.has(spec.domain)) this.opsets.set(spec.domain, 1);
  }

  rawNode(content: Uint8Array): void {
    this.added.bytes(1, content);
  }

  /** A small int64 constant; the same values share one initialiser, whose name is returned. `scalar` = no dimension. */
  ints(values: number[], scalar = false): string {
    const name = `lab.const.${scalar ? 'scalar' : 'ints'}.${values.join('_')}`;
    if (!this.constants.has(name)) {
      this.constants.add(name);
      this.added.bytes(5, writeTensor(name, INT64, scalar ? [] : [values.length], BigInt64Array.from(values, BigInt)));
    }
    return name;
  }

  initializer(content: Uint8Array): void {
    this.added.bytes(5, content);
  }

  input(name: string, elemType: number, shape: NonNullable<OnnxValueInfo['shape']>): void {
    this.added.bytes(11, writeValueInfo(name, elemType, shape));
  }

  output(name: string, elemType?: number, shape?: OnnxValueInfo['shape']): void {
    this.added.bytes(12, writeValueInfo(name, elemType, shape));
  }

  build(): Uint8Array {
    const { bytes } = this.model;
    const head: Uint8Array[] = [];
    const graph: Uint8Array[] = [];
    const top = new ProtoReader(bytes);
    while (top.next()) {
      if (top.field !== 7) {
        head.push(bytes.subarray(top.fieldStart, top.end));
        continue;
      }
      // Runs of untouched fields go over as one slice.
      let from = top.start;
      const inner = new ProtoReader(bytes, top.range());
      while (inner.next()) {
        const content = inner.wire === BYTES ? this.replaced.get(inner.start) : undefined;
        if (content === undefined) continue;
        graph.push(bytes.subarray(from, inner.fieldStart));
        if (content) graph.push(varint(inner.field * 8 + BYTES), varint(content.length), content);
        from = inner.end;
      }
      graph.push(bytes.subarray(from, top.end));
    }
    graph.push(this.added.done());
    const opsets = new ProtoWriter();
    for (const [domain, version] of this.opsets) opsets.bytes(8, new ProtoWriter().string(1, domain).uint(2, version).done());

    const graphLength = graph.reduce((n, piece) => n + piece.length, 0);
    const pieces = [...head, opsets.done(), varint(7 * 8 + BYTES), varint(graphLength), ...graph];
    const out = new Uint8Array(pieces.reduce((n, piece) => n + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      out.set(piece, at);
      at += piece.length;
    }
    return out;
  }
}
