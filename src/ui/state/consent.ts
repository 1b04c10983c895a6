/** The models that the reader has had downloaded in this session: a link back to one of them does not ask again. */
import { modelText } from '../../share/link';
import { DEFAULT_HOST } from '../../share/needs';
import type { ModelRef } from '../../types';

const agreed = new Set<string>();
const key = (ref: ModelRef): string => `${ref.host ?? DEFAULT_HOST} ${modelText(ref)}`;

export const agree = (ref: ModelRef): void => void agreed.add(key(ref));
export const hasAgreed = (ref: ModelRef): boolean => agreed.has(key(ref));
