/** A model folder of the reader's own, dropped or picked. */

/** Read whole when a folder is told from others; of larger files the two ends. */
const SMALL = 1 << 20;
const END = 1 << 16;

/**
 * A name by which the same folder is known again on any machine: the folder's own, and a hash of every path, size, small file and
 * large file's ends. Gigabytes are not read.
 */
export async function folderName(files: readonly File[]): Promise<string> {
  const parts: BlobPart[] = [];
  const inside = files.map((file) => ({ file, path: (file.webkitRelativePath || file.name).replace(/^\.?\//, '') }));
  const config = inside.map((f) => f.path).find((p) => /(^|\/)config\.json$/.test(p)) ?? '';
  const root = config.slice(0, config.length - 'config.json'.length);
  const own = inside.filter((f) => f.path.startsWith(root)).sort((a, b) => (a.path < b.path ? -1 : 1));
  for (const { file, path } of own) {
    parts.push(`${path.slice(root.length)}\0${file.size}\0`);
    if (file.size <= SMALL) parts.push(file);
    else parts.push(file.slice(0, END), file.slice(-END));
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()));
  const hash = Array.from(digest.subarray(0, 4), (b) => b.toString(16).padStart(2, '0')).join('');
  const name = (root.split('/').filter(Boolean).pop() ?? 'folder').replace(/[^\w.-]+/g, '-').slice(0, 40);
  return `${name}-${hash}`;
}

/** All files under what was dropped, folders walked. To be called while the event is handled: a browser forgets its entries after. */
export async function filesOf(transfer: DataTransfer | null): Promise<File[]> {
  const entries = [...(transfer?.items ?? [])].map((i) => i.webkitGetAsEntry()).filter((e) => e !== null);
  const out: File[] = [];
  const walk = async (entry: FileSystemEntry, path: string): Promise<void> => {
    if (entry.isFile) {
      const file = await new Promise<File>((ok, no) => (entry as FileSystemFileEntry).file(ok, no));
      Object.defineProperty(file, 'webkitRelativePath', { value: path + file.name });
      out.push(file);
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((ok, no) => reader.readEntries(ok, no));
      if (some.length === 0) return;
      for (const inner of some) await walk(inner, `${path}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, '');
  return out;
}
