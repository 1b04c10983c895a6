/** An ONNX graph as plain data, kept beside the bytes it came from: nothing here copies a weight. */

/** A half-open range of bytes in the model file. */
export interface ByteRange {
  start: number;
  end: number;
}

export interface OnnxAttribute {
  name: string;
  /** AttributeProto.type: 1 FLOAT, 2 INT, 3 STRING, 4 TENSOR, 5 GRAPH, 6 FLOATS, 7 INTS, 8 STRINGS. */
  type: number;
  f?: number;
  i?: number;
  s?: string;
  floats?: number[];
  ints?: number[];
  t?: OnnxTensor;
  /** The AttributeProto's content. Sub-graphs (type 5) are kept as these bytes only. */
  range: ByteRange;
  /** Where the varint of `i` sits, for changes in place. */
  iRange?: ByteRange;
}

export interface OnnxNode {
  name: string;
  opType: string;
  domain: string;
  inputs: string[];
  outputs: string[];
  attributes: Map<string, OnnxAttribute>;
  /** The NodeProto's content in the file. */
  range: ByteRange;
}

/** An initialiser's header; `data` is where its bytes are, never the bytes themselves (small ones can be read on demand). */
export interface OnnxTensor {
  name: string;
  dims: number[];
  /** TensorProto.DataType: 1 FLOAT, 2 UINT8, 3 INT8, 6 INT32, 7 INT64, 9 BOOL, 10 FLOAT16, 21 UINT4, 22 INT4 … */
  dataType: number;
  data:
    | { kind: 'raw'; range: ByteRange }
    | { kind: 'external'; location: string; offset: number; length: number }
    /** float_data, int32_data … : small constants in practice, never moved. */
    | { kind: 'typed' };
  /** The TensorProto's content in the file. */
  range: ByteRange;
}

export interface OnnxValueInfo {
  name: string;
  /** 0 when the file gives no type. */
  elemType: number;
  /** A number, a symbol, or null where unknown. */
  shape: (number | string | null)[] | null;
  /** The ValueInfoProto's content in the file. */
  range: ByteRange;
}

export interface OnnxGraph {
  name: string;
  nodes: OnnxNode[];
  initializers: Map<string, OnnxTensor>;
  inputs: OnnxValueInfo[];
  outputs: OnnxValueInfo[];
  valueInfo: Map<string, OnnxValueInfo>;
}

export interface OnnxModel {
  bytes: Uint8Array;
  irVersion: number;
  producer: string;
  /** domain ('' = default) → version. */
  opsets: Map<string, number>;
  graph: OnnxGraph;
}
