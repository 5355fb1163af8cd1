/** The resources of an instance. A size of 0 means none, as in Nova. */
export interface Flavor {
  readonly name: string;
  readonly vcpus: number;
  readonly memoryMb: number;
  readonly rootGb: number;
  readonly ephemeralGb: number;
  readonly swapMb: number;
}

/** Nova's defaults of old; a configuration may add to them or replace them. */
export const builtInFlavors: readonly Flavor[] = [
  { name: 'm1.tiny', vcpus: 1, memoryMb: 512, rootGb: 1, ephemeralGb: 0, swapMb: 0 },
  { name: 'm1.small', vcpus: 1, memoryMb: 2048, rootGb: 20, ephemeralGb: 0, swapMb: 0 },
  { name: 'm1.medium', vcpus: 2, memoryMb: 4096, rootGb: 40, ephemeralGb: 0, swapMb: 0 },
  { name: 'm1.large', vcpus: 4, memoryMb: 8192, rootGb: 80, ephemeralGb: 0, swapMb: 0 },
  { name: 'm1.xlarge', vcpus: 8, memoryMb: 16384, rootGb: 160, ephemeralGb: 0, swapMb: 0 },
];
