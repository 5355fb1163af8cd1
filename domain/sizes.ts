const mebibyte = 2 ** 20;
const units = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** A size as people read it: "412 MiB", "1.5 GiB". */
export function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let count = bytes / 1024;
  let unit = 0;
  while (count >= 1023.95 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${count < 100 ? count.toFixed(1).replace(/\.0$/, '') : Math.round(count)} ${units[unit]}`;
}

/**
 * A size in whole MiB, or in KiB below one, for those that are set against each other: rounded to GiB, what is needed
 * and what is there could read the same.
 */
export function spaceText(bytes: number): string {
  return bytes < mebibyte ? `${Math.ceil(Math.max(0, bytes) / 1024)} KiB` : `${Math.floor(bytes / mebibyte)} MiB`;
}
