import type { DiskSource } from './disk-source.ts';
import { element, type XmlElement } from './xml.ts';

/** The `type` of a `<disk>` with this source. */
export function libvirtDiskType({ type }: DiskSource): 'file' | 'block' | 'network' {
  return type === 'file' || type === 'block' ? type : 'network';
}

/**
 * The `<source>` of a disk and, for Ceph with users, the `<auth>` that names the libvirt secret with the key. The
 * monitors' addresses are left to Ceph's own configuration: they may change while the domain lives.
 */
export function sourceElements(source: DiskSource): readonly XmlElement[] {
  switch (source.type) {
    case 'file':
      return [element('source', { file: source.path })];
    case 'block':
      return [element('source', { dev: source.path })];
    case 'nbd':
      return [
        element('source', { protocol: 'nbd', name: source.export === '' ? undefined : source.export }, [
          element('host', { name: source.host, port: source.port }),
        ]),
      ];
    case 'rbd': {
      const { user, secretUuid, confPath } = source;
      return [
        ...(user === null || secretUuid === null
          ? []
          : [element('auth', { username: user }, [element('secret', { type: 'ceph', uuid: secretUuid })])]),
        element('source', { protocol: 'rbd', name: `${source.pool}/${source.image}` }, [
          confPath === null ? undefined : element('config', { file: confPath }),
        ]),
      ];
    }
  }
}
