/** An SVG file's text as a PNG. Needs a page (Image and canvas); everything else in this folder does not. */

/** Width and height written on the root element, in px. */
export function svgSize(svg: string): { width: number; height: number } | null {
  const root = /<svg\b[^>]*>/.exec(svg)?.[0] ?? '';
  const get = (name: string): number => Number(new RegExp(`\\s${name}="([\\d.]+)"`).exec(root)?.[1] ?? NaN);
  const width = get('width');
  const height = get('height');
  return width > 0 && height > 0 ? { width, height } : null;
}

/** @param scale pixels per px; lowered when a side would pass 16,384, which canvases do not hold */
export async function svgToPng(svg: string, scale = 2): Promise<Blob> {
  const size = svgSize(svg);
  if (!size) throw new Error('the SVG does not say how large it is');
  const k = Math.min(scale, 16_384 / Math.max(size.width, size.height));
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(size.width * k);
  canvas.height = Math.round(size.height * k);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('this browser has no 2-D canvas');
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob((b) => (b ? resolve(b) : reject(new Error('this browser could not make the picture'))), 'image/png'));
}
