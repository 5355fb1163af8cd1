import { EverbootFailure } from '../../domain/failures.ts';

/** Reads a stream in the lengths that are asked for. */
export interface ByteReader {
  /**
   * Exactly that many bytes; null where the stream ends before the first of them. Throws ImageUnacceptable in between.
   */
  take(length: number): Promise<Buffer | null>;
  /** That many bytes, in whatever pieces they come. Throws ImageUnacceptable where the stream ends before. */
  pieces(length: number): AsyncIterable<Buffer>;
}

export function byteReader(stream: AsyncIterable<Buffer>): ByteReader {
  const source = stream[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);

  async function* pieces(length: number): AsyncIterable<Buffer> {
    for (let left = length; left > 0; ) {
      if (rest.length === 0) {
        const { value, done } = await source.next();
        if (done === true) throw cutOff();
        rest = value;
      }
      const piece = rest.subarray(0, left);
      rest = rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  return {
    pieces,
    async take(length) {
      while (rest.length === 0) {
        const { value, done } = await source.next();
        if (done === true) return null;
        rest = value;
      }
      const found: Buffer[] = [];
      for await (const piece of pieces(length)) found.push(piece);
      return Buffer.concat(found, length);
    },
  };
}

function cutOff(): EverbootFailure {
  return new EverbootFailure('ImageUnacceptable', 'the archive of its files ends in the middle of one');
}
