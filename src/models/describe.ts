/** The record of a loaded model. */
import type { Capabilities, LoadedModel, ModelCard, ModelRef, Provenance } from '../types';
import type { OpenModel } from './open';
import { formatRef } from './reference';

declare const __APP_VERSION__: string;
declare const __ORT_VERSION__: string;

/** @param cards where the model's own card is looked for; one is made from the files where there is none */
export function describe(ref: ModelRef, open: OpenModel, precise: boolean, cards: ModelCard[], can: Capabilities): LoadedModel {
  const { decoder, tokenizer, config, choice } = open;
  const card = cards.find((c) => c.ref.id === ref.id) ?? unknownCard(ref, open);
  const loadedRef: ModelRef = { ...ref, revision: open.revision, dtype: choice.dtype };
  const provenance: Provenance = {
    app: __APP_VERSION__,
    ort: `${__ORT_VERSION__} (${decoder.session.runtime.build})`,
    device: open.device,
    deviceReason: open.deviceReason,
    adapter: open.device === 'webgpu' && can.adapter ? Object.values(can.adapter).filter((v) => typeof v === 'string' && v).join(' ') : null,
    dtype: choice.dtype,
    model: ref.host ? `${ref.host}/${ref.id}` : ref.id,
    revision: open.revision,
    files: open.files,
    precise,
    selfTest: open.selfTest,
    time: new Date().toISOString(),
  };
  return {
    card,
    ref: loadedRef,
    device: open.device,
    deviceReason: open.deviceReason,
    dtype: choice.dtype,
    layers: decoder.layers,
    width: decoder.width,
    vocab: config.vocab,
    maxLength: config.maxLength,
    hasChatTemplate: tokenizer.chatTemplate !== null,
    opaque: decoder.opaque,
    selfTest: open.selfTest,
    provenance,
  };
}

function unknownCard(ref: ModelRef, open: OpenModel): ModelCard {
  return {
    ref,
    title: formatRef(ref),
    stage: open.tokenizer.chatTemplate ? 'post-trained' : 'base',
    pair: null,
    step: null,
    parameters: null,
    layers: open.decoder.layers,
    width: open.decoder.width,
    bytes: open.choice.bytes === null ? {} : { [open.choice.dtype]: open.choice.bytes },
    languages: [],
    license: '',
    bundled: ref.id.startsWith('bundled:'),
    note: '',
  };
}
