// The workflow bundle’s entry: Temporal finds a workflow by the name of its export.
// biome-ignore-all lint/performance/noBarrelFile: the bundler takes one file

export { listCache, pinCache, precacheImage, scrubCache, sweepCache } from './care-for-cache.ts';
export { clearRemains } from './clear-remains.ts';
export { createInstance } from './create-instance.ts';
export { deleteInstance } from './delete-instance.ts';
export { inspectInstance } from './inspect-instance.ts';
export { tendHost } from './tend-host.ts';
