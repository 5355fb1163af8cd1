/** The part of this package that everboot uses: OFD locks, which Node's core does not have. */
declare module 'fs-native-extensions' {
  /** Locks a range of an open file without waiting. False: somebody else holds it. */
  export function tryLock(descriptor: number, offset: number, length: number, options?: { shared?: boolean }): boolean;
}
