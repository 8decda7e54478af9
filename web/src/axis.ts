// Room for the labels of a chart's axes: as much as their texts take, whatever the language or the font.

const GAP_PX = 4;

let pen: CanvasRenderingContext2D | null = null;

export function textWidth(text: string, font: string): number {
  pen ??= document.createElement('canvas').getContext('2d');
  if (!pen) return text.length * 8;
  pen.font = font;
  return Math.ceil(pen.measureText(text).width);
}

// Of an axis at the side, in pixels; the library asks before it has labels, too.
export function sideRoom(labels: readonly string[] | null, font: string, least: number): number {
  return Math.max(least, ...(labels ?? []).map((label) => textWidth(label, font) + GAP_PX * 2));
}
