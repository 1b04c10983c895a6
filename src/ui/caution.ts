/** Which models the pictures of a part of the page are of is known where that part begins; what must stand on each picture is read by its frame. */
import { getContext, setContext } from 'svelte';

const KEY = Symbol('caution');

/** For all pictures below this component; `of` is read whenever one is drawn or saved. */
export const cautionBelow = (of: () => string | null): void => void setContext(KEY, of);

export const caution = (): (() => string | null) => getContext<(() => string | null) | undefined>(KEY) ?? (() => null);
