/** Item sets as the lab finds them: those that ship, from a real server; those kept in the browser, from a database. */
import 'fake-indexeddb/auto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ItemSets } from '../../src/lab-items';
import { keep, SetStore } from '../../src/study/sets';
import type { Item } from '../../src/types';

const item = (id: string, text: string): Item => ({ id, set: 'own', paragraph: 'p', context: { en: text }, question: { en: 'Which?', de: 'Was?' }, answer: { en: { text: text.slice(0, 4), start: 0 } } });
const world = { name: 'world', license: '', languages: ['en'], sets: { en: { data: [{ title: 't', paragraphs: [{ context: 'Oslo is cold.', qas: [{ id: 'w-1', question: 'What is cold?', answers: [{ text: 'Oslo', answer_start: 0 }] }] }] }] } } };

let server: Server;
let base: string;
const asked: string[] = [];
beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    const body = path === '/items/index.json' ? JSON.stringify([{ name: 'world' }]) : path === '/items/world.json' ? JSON.stringify(world) : null;
    response.writeHead(body === null ? 404 : 200, { 'Content-Type': 'application/json' }).end(body ?? '');
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(() => new Promise((done) => server.close(done)));

const put = async (name: string, items: Item[]): Promise<void> => {
  const store = await SetStore.open();
  await store.put(await keep({ name, license: '', languages: ['en', 'de'], items }, 'dropped'));
  store.close();
};

it('reads what ships once, what is kept as it is now, and says where else a set may come from', async () => {
  const sets = new ItemSets(base);
  expect(await sets.kept()).toEqual([]);
  expect((await sets.items('world')).map((i) => i.id)).toEqual(['w-1']);
  await sets.items('world');
  expect(asked.filter((path) => path.includes('world'))).toHaveLength(1);

  await expect(sets.items('own')).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('“own”'), hint: expect.stringContaining('Study') });
  await put('own', [item('o-1', 'Oslo, the first.')]);
  expect(await sets.kept()).toEqual(['own']);
  const { signal } = new AbortController();
  const ask = { item: 'o-1', set: 'own', contextLanguage: 'en', questionLanguage: 'de' } as const;
  expect(await sets.resolve(ask, signal)).toMatchObject({ context: 'Oslo, the first.', question: 'Was?', gold: 'Oslo' });
  // another file under the same name
  await put('own', [item('o-1', 'Bergen, the second.')]);
  expect(await sets.resolve(ask, signal)).toMatchObject({ context: 'Bergen, the second.', gold: 'Berg' });
  await expect(sets.resolve({ ...ask, item: 'o-9' }, signal)).rejects.toMatchObject({ code: 'not-found', message: expect.stringContaining('o-9') });
  // a set that is kept is not sought on the server
  expect(asked.filter((path) => path.includes('own'))).toEqual([]);
});
