import { element, type XmlElement } from '../xml.ts';
import { type DomainDescription, isMachine } from './domain-description.ts';

/**
 * The console, and the file that keeps what it prints. It is appended to, since virtlogd would else replace the file
 * that was made for it by one that its group cannot read; virtlogd keeps it small all the same.
 */
export function consoleDevices({ directory, virtType }: DomainDescription): readonly XmlElement[] {
  const log = element('log', { file: `${directory}/console.log`, append: 'on' });
  if (isMachine(virtType)) return [element('serial', { type: 'pty' }, [element('target', { port: 0 }), log])];
  return [element('console', { type: 'pty' }, [element('target', { type: virtType, port: 0 }), log])];
}
