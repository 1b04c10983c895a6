/** Whether the part of the page that a figure stands in is on show: what is away is not lit and asks for nothing. */
import { getContext, setContext } from 'svelte';

const KEY = Symbol('on show');

export const setOnShow = (onShow: () => boolean): void => void setContext(KEY, onShow);
/** To be called while a component is made. */
export const getOnShow = (): (() => boolean) => getContext<() => boolean>(KEY) ?? (() => true);
