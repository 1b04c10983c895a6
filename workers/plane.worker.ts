/** Fits planes off the main thread; nothing else lives here. */
import { expose } from 'comlink';
import { unparceller } from '../src/probe/plane-wire';

expose({ fit: unparceller() });
