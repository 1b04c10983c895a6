/** `lab.record`, `lab.compare`, `lab.link`, `lab.open` and `lab.export`: records and links from the console, by the very code the page uses. */
import { LabError, type PlainLabError } from './runtime/errors';
import { makeLink, parseLink, type ProbeLink } from './share/link';
import { askOfLink, linkOfRecord } from './share/link-of';
import { isModel, needs, type Need } from './share/needs';
import { asRecord, exportRecord, EXPORTS, type ExportFormat, type Recordable } from './share/of-record';
import { compareWithLink, type RunComparison } from './share/provenance';
import { makeRecord, type LabRecord } from './share/record';
import type { Ask, Device, LoadedModel, LoadOptions, ModelRef, Probe, ProbeOptions } from './types';
import type { Calls } from './wire';

/** One side of a comparison: a model, or a model on a device of its own. */
export type Side = ModelRef | string | { model: ModelRef | string; device?: Device; precise?: boolean };

/** What is asked of a lab here. */
export interface ShareLab {
  model(): Promise<LoadedModel | null>;
  load(ref: ModelRef | string, options?: LoadOptions & Calls): Promise<LoadedModel>;
  probe(ask: Ask, options?: ProbeOptions & Calls): Promise<Probe>;
  another(): ShareLab;
  terminate(): void;
}

/** How the page goes where a link points; resolves with what is on show then, or with what the reader has to agree to first. Rejects where what the link names is not to be had. */
export type Opener = (link: string, options: OpenOptions) => Promise<{ record: LabRecord | null; needs: Need[] }>;

export interface OpenOptions {
  /** Consent to what running the link downloads from other hosts. Default false: such a link is shown, and not run. */
  download?: boolean;
}

export interface Opened {
  link: ProbeLink;
  /** What had to be changed in reading the link. */
  remarks: string[];
  /** What running it downloads, where it has not been agreed to. */
  needs: Need[];
  /** null when the link was not run. */
  record: LabRecord | null;
  /** The run against what the link says of the sender's own; null when nothing was run. */
  comparison: RunComparison | null;
}

const sideOf = (side: Side): { model: ModelRef | string; device?: Device; precise?: boolean } => (typeof side === 'object' && 'model' in side ? side : { model: side });

/** Both sides one after the other, each in a worker that is ended after it, so that never more than one model is added to the loaded one. */
export async function compareModels(lab: ShareLab, a: Side, b: Side, ask: Ask, options: ProbeOptions & Calls = {}): Promise<LabRecord> {
  const [pa, pb] = [await probeOn(lab, a, ask, options), await probeOn(lab, b, ask, options)];
  return makeRecord(
    [
      { slot: 'A', probe: pa },
      { slot: 'B', probe: pb },
    ],
    { title: `${pa.model.card.title} and ${pb.model.card.title}`, view: { tab: 'compare' } },
  );
}

async function probeOn(lab: ShareLab, side: Side, ask: Ask, options: ProbeOptions & Calls): Promise<Probe> {
  const { model, ...how } = sideOf(side);
  const here = await lab.model();
  const ref = typeof model === 'string' ? { id: model } : model;
  const fits = here && here.ref.id === ref.id && (!ref.dtype || ref.dtype === here.dtype) && (!ref.revision || ref.revision === here.provenance.revision) && (!how.device || how.device === here.device) && (how.precise ?? here.provenance.precise) === here.provenance.precise;
  if (fits) return lab.probe(ask, options);
  const other = lab.another();
  try {
    await other.load(model, { ...how, ...(options.signal ? { signal: options.signal } : {}), ...(options.onProgress ? { onProgress: options.onProgress } : {}) });
    return await other.probe(ask, options);
  } finally {
    other.terminate();
  }
}

/** The record of one model's runs, the asked one first, and of another's beside them. */
export function recordOf(a: Probe | readonly Probe[], b: Probe | readonly Probe[] = []): LabRecord {
  const [of, beside] = [[a].flat(), [b].flat()];
  if (of.length === 0) throw new LabError('bad-input', 'A record has at least one run.');
  return makeRecord([...of.map((probe) => ({ slot: 'A' as const, probe })), ...beside.map((probe) => ({ slot: 'B' as const, probe }))], { view: beside.length > 0 ? { tab: 'compare' } : {} });
}

/** The whole address of a record's view. @throws LabError 'too-long' when a file has to do */
export function linkTo(of: Recordable, base: string): string {
  const made = makeLink(linkOfRecord(asRecord(of)), base);
  if (!made.ok) throw new LabError(made.code === 'too-long' ? 'too-long' : 'bad-input', made.message, 'Use lab.export(record, "zip").');
  return base + made.value;
}

export async function openLink(lab: ShareLab, text: string, opener: Opener | null, options: OpenOptions): Promise<Opened> {
  const read = parseLink(text);
  if (!read.ok) throw new LabError('bad-input', read.message);
  const { value: link, remarks } = read;
  const done = (record: LabRecord | null, open: Need[] = []): Opened => {
    const main = record?.runs[0]?.probe;
    return { link, remarks, needs: open, record, comparison: main && link.ask ? compareWithLink(link, main) : null };
  };
  // the page also shows what may not be run, and asks the reader
  if (opener) {
    const at = await opener(text.slice(text.indexOf('#') + 1), options).catch((error: PlainLabError) => {
      throw LabError.from(error);
    });
    return done(at.record, at.needs);
  }
  const here = await lab.model();
  const open = options.download ? [] : needs(link).filter((n) => n.kind === 'set' || !here || !isModel(n.model, here.ref));
  const ask = askOfLink(link.ask);
  if (!ask || open.length > 0) return done(null, open);
  const [a, b] = link.models;
  if (a && b) return done({ ...(await compareModels(lab, sideFor(a, link.device), sideFor(b, link.deviceB ?? link.device), ask)), view: link.view });
  if (a) return done(makeRecord([{ slot: 'A', probe: await probeOn(lab, sideFor(a, link.device), ask, {}) }], { view: link.view }));
  return done(makeRecord([{ slot: 'A', probe: await lab.probe(ask) }], { view: link.view }));
}

/** A bundled model of another revision is not to be had from anywhere: this build's own is taken. */
function sideFor(ref: ModelRef, device: Device | undefined): Side {
  const { revision, ...unpinned } = ref;
  return { model: ref.id.startsWith('bundled:') || !revision ? unpinned : ref, ...(device ? { device } : {}) };
}

/** A record as a file, ready for a download or an upload. */
export function exportAs(of: Recordable, format: ExportFormat, options: { states?: boolean }): File {
  if (!EXPORTS.includes(format)) throw new LabError('bad-input', `“${String(format)}” is not a format of records.`, `Formats: ${EXPORTS.join(', ')}.`);
  const { name, type, bytes } = exportRecord(asRecord(of), format, options);
  return new File([bytes as Uint8Array<ArrayBuffer>], name, { type });
}
