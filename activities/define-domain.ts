import { readFile } from 'node:fs/promises';
import type { Claim } from '../domain/claim.ts';
import { instanceDirectory } from '../domain/host-paths.ts';
import { defineDomain as define, removeDomain as remove, startDomain as start } from '../hypervisor/libvirt.ts';
import type { Host } from './host.ts';
import { withWorkControl } from './work-control.ts';

/** Tells libvirt of the instance, in the words of the libvirt.xml that was written when the directory was reserved. */
export async function defineDomain(
  { configuration, paths }: Host,
  { claim }: { readonly claim: Claim },
): Promise<{ readonly domain: string }> {
  return await withWorkControl(async () => {
    const xml = await readFile(`${instanceDirectory(paths, claim.instanceId)}/libvirt.xml`, 'utf8');
    return { domain: await define(configuration.libvirt.connectionUri, xml, claim) };
  });
}

/** Starts the domain; one that runs already is left alone. */
export async function startDomain({ configuration }: Host, { claim }: { readonly claim: Claim }): Promise<void> {
  await withWorkControl(() => start(configuration.libvirt.connectionUri, claim));
}

/** Stops and forgets the domain, if it carries this operation's claim. Absence is success. */
export async function removeDomain({ configuration }: Host, { claim }: { readonly claim: Claim }): Promise<void> {
  await withWorkControl(() => remove(configuration.libvirt.connectionUri, claim));
}
