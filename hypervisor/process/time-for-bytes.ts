const mebibyte = 2 ** 20;

/** A disk slower than this counts as broken. */
const slowestBytesPerSecond = 10 * mebibyte;

/** The time that work may take besides its bytes: the start of a program, a disk that wakes up. */
const timeForNothingMs = 5 * 60_000;

/** How long a program that reads or writes this many bytes may run, in milliseconds. */
export function timeForBytesMs(bytes: number): number {
  return timeForNothingMs + Math.ceil((bytes / slowestBytesPerSecond) * 1000);
}
