import type { LibvirtSettings } from '../../domain/configuration.ts';
import type { InjectedFile, InstanceSecrets, InstanceSpec } from '../../domain/spec.ts';
import { interfacesFile } from './interfaces-file.ts';

/** The contents injected into a guest's own file system, where it has no config drive to read them from. */
export interface InjectionContents {
  readonly sshKeys: readonly string[];
  /** The text of /etc/network/interfaces; null: the guest keeps its own. */
  readonly interfaces: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly adminPassword: string | null;
  readonly files: readonly InjectedFile[];
}

/**
 * The parts of a spec that are injected, by the host's settings. Nova's `_inject_data` (nova/virt/libvirt/driver.py).
 */
export function injectionContents(
  spec: Pick<InstanceSpec, 'sshKeys' | 'metadata' | 'networkData'>,
  secrets: InstanceSecrets,
  { injectKey, injectPassword, virtType }: Pick<LibvirtSettings, 'injectKey' | 'injectPassword' | 'virtType'>,
): InjectionContents {
  return {
    sshKeys: injectKey ? spec.sshKeys : [],
    interfaces: interfacesFile(spec.networkData ?? {}, { isContainer: virtType === 'lxc' }),
    metadata: spec.metadata,
    adminPassword: (injectPassword && secrets.adminPassword) || null,
    files: secrets.files ?? [],
  };
}
