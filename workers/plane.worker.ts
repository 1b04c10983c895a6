/** Fits planes off the main thread; nothing else lives here. */
import { expose } from 'comlink';
import { fitPlane } from '../src/probe/plane';

expose({ fitPlane });
