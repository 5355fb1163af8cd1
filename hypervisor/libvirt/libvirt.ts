import { setTimeout as sleep } from 'node:timers/promises';
import { type Domain, DomainGetXMLDescFlags, Hypervisor } from 'libvirt';
import { type Claim, claimName } from '../../domain/claim.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { isFailedProgram } from '../process/program-failure.ts';
import { runProgram } from '../process/run-program.ts';
import { type Call, type KeptConnection, keepConnection, wordsOf } from './libvirt-connection.ts';
import { type PoolVolume, readDomainXml } from './read-domain-xml.ts';

type LibvirtCall = Call<Hypervisor>;

/** A start may take QEMU half a minute on a loaded host, and so may an end. */
const callTimeoutMs = 60_000;

const connections = new Map<string, KeptConnection<Hypervisor>>();

/**
 * Defines a domain in libvirt and returns its name. Defining it again under the same claim replaces its XML. Throws
 * InstanceExists where a domain of this id carries another claim, NotManaged where it carries none, and DomainRejected
 * with libvirt's words.
 */
export async function defineDomain(uri: string, xml: string, claim: Claim): Promise<string> {
  const work = { purpose: `define the domain of instance ${claim.instanceId}`, refusal: 'DomainRejected' } as const;
  return await withLibvirt(uri, work, async (call) => {
    const present = await findDomain(call, claim.instanceId);
    const owner = present && (await claimOf(call, present));
    if (present !== undefined && (owner === undefined || claimName(owner) !== claimName(claim))) {
      throw new EverbootFailure(
        owner === undefined ? 'NotManaged' : 'InstanceExists',
        `libvirt has a domain with the id ${claim.instanceId} already, and it carries ${claimWords(owner)}`,
      );
    }
    const domain = await call((hypervisor) => hypervisor.domainDefineXML(xml));
    return await call(() => domain.getName());
  });
}

/**
 * Starts the domain that carries the claim; one that runs is left alone. Throws DomainStartFailed with libvirt's words;
 * DomainMissing where there is none; OperationSuperseded where it carries another claim, and NotManaged for none.
 */
export async function startDomain(uri: string, claim: Claim): Promise<void> {
  const work = { purpose: `start the domain of instance ${claim.instanceId}`, refusal: 'DomainStartFailed' } as const;
  await withLibvirt(uri, work, async (call) => {
    const problem = `the domain of instance ${claim.instanceId} is not started`;
    const domain = await findDomain(call, claim.instanceId);
    if (domain === undefined) throw new EverbootFailure('DomainMissing', `${problem}: there is none`);
    const owner = await claimOf(call, domain);
    if (owner === undefined || claimName(owner) !== claimName(claim)) {
      const code = owner === undefined ? 'NotManaged' : 'OperationSuperseded';
      throw new EverbootFailure(code, `${problem}: it carries ${claimWords(owner)}`);
    }
    if (await isActive(call, domain)) return;
    try {
      await call(() => domain.create());
    } catch (error) {
      // An earlier attempt's start may have come to its end in between.
      if (error instanceof EverbootFailure || !(await isActive(call, domain))) throw error;
    }
  });
}

/**
 * Stops and forgets the domain if it carries this claim. Absence, or somebody else's domain, is success. Throws
 * HostIoError for one that keeps being there.
 */
export async function removeDomain(uri: string, claim: Claim): Promise<void> {
  const isOurs = (owner?: Claim): boolean => owner !== undefined && claimName(owner) === claimName(claim);
  await removeWhile(isOurs, uri, claim.instanceId);
}

/**
 * Stops and forgets the instance's domain, whichever operation defined it. Absence is success. Throws NotManaged for a
 * domain that carries no claim of everboot's: the instance's files may be in use by it; HostIoError for one that keeps
 * being there.
 */
export async function removeDomainOfInstance(uri: string, instanceId: string): Promise<void> {
  const isOurs = (owner?: Claim): boolean => {
    if (owner?.instanceId === instanceId) return true;
    throw new EverbootFailure('NotManaged', `the domain with the id ${instanceId} carries ${claimWords()}`, {
      remedy: `Everboot touches only what it made. Look at it with virsh dumpxml ${instanceId}, and undefine it there.`,
    });
  };
  await removeWhile(isOurs, uri, instanceId);
}

/** The claim that the instance's domain carries; null when there is no domain, or none of everboot's. */
export async function domainClaim(uri: string, instanceId: string): Promise<Claim | null> {
  return await withLibvirt(uri, asking(`find the owner of instance ${instanceId}`), async (call) => {
    const domain = await findDomain(call, instanceId);
    return (domain && (await claimOf(call, domain))) ?? null;
  });
}

/**
 * The state of the instance's domain; null when there is none. A paused domain has its QEMU, so it counts as running.
 */
export async function domainState(uri: string, instanceId: string): Promise<'running' | 'shut off' | null> {
  return await withLibvirt(uri, asking(`get the state of instance ${instanceId}`), async (call) => {
    const domain = await findDomain(call, instanceId);
    if (domain === undefined) return null;
    return (await isActive(call, domain)) ? 'running' : 'shut off';
  });
}

/**
 * All domains, running or not, whoever defined them: id and XML, each as it runs and as it would start next; after a
 * block job on a running guest the two name different files.
 */
export async function allDomains(uri: string): Promise<{ readonly id: string; readonly xml: string }[]> {
  return await withLibvirt(uri, asking('list its domains'), async (call) => {
    const found: { id: string; xml: string }[] = [];
    for (const domain of await call((hypervisor) => hypervisor.connectListAllDomains())) {
      const id = await call(() => domain.getUUIDString());
      try {
        for (const flags of [DomainGetXMLDescFlags.NONE, DomainGetXMLDescFlags.INACTIVE]) {
          found.push({ id, xml: await call(() => domain.getXMLDesc(flags)) });
        }
      } catch (error) {
        // One that was forgotten since the list was made uses nothing any more.
        if (error instanceof EverbootFailure || (await findDomain(call, id)) !== undefined) throw error;
      }
    }
    return found;
  });
}

/** A domain as it would start next. */
export interface HostDomain {
  readonly id: string;
  readonly name: string;
  readonly xml: string;
  readonly state: 'running' | 'shut off';
}

/** All domains, whoever defined them. */
export async function domainsOfHost(uri: string): Promise<readonly HostDomain[]> {
  return await withLibvirt(uri, asking('list its domains'), async (call) => {
    const found: HostDomain[] = [];
    for (const domain of await call((hypervisor) => hypervisor.connectListAllDomains())) {
      const [id, name] = [await call(() => domain.getUUIDString()), await call(() => domain.getName())];
      try {
        const xml = await call(() => domain.getXMLDesc(DomainGetXMLDescFlags.INACTIVE));
        found.push({ id, name, xml, state: (await isActive(call, domain)) ? 'running' : 'shut off' });
      } catch (error) {
        // One that was forgotten since the list was made is none any more.
        if (error instanceof EverbootFailure || (await findDomain(call, id)) !== undefined) throw error;
      }
    }
    return found;
  });
}

/** The path of a pool's volume. The binding knows no pools. Throws ProgramFailed where libvirt knows no such volume. */
export async function volumePath(uri: string, { pool, volume }: PoolVolume): Promise<string> {
  const args = ['-c', uri, 'vol-path', `--pool=${pool}`, `--vol=${volume}`];
  return (await runProgram('virsh', args, { timeoutMs: 30_000 })).stdout.trim();
}

/** The machine as libvirt sees it. */
export async function nodeInfo(uri: string): Promise<{ readonly cpus: number; readonly memoryMb: number }> {
  const { cpus, memory } = await withLibvirt(uri, asking('describe the host'), (call) =>
    call((hypervisor) => hypervisor.nodeGetInfo()),
  );
  return { cpus, memoryMb: Math.floor(memory / 1024) };
}

/** Closes every connection. Call it before the process ends: the binding's own end is not orderly while one is open. */
export async function closeLibvirt(): Promise<void> {
  const open = [...connections.values()];
  connections.clear();
  // A daemon that hangs must not keep the process from ending.
  const enough = sleep(2000, undefined, { ref: false });
  await Promise.race([Promise.all(open.map((kept) => kept.close())), enough]);
}

/** A request to libvirt. */
interface LibvirtWork {
  /** Ends the sentence "libvirt did not …". */
  readonly purpose: string;
  /** The failure that a refusal is. */
  readonly refusal: 'DomainRejected' | 'DomainStartFailed' | 'DomainRemovalFailed' | 'LibvirtQueryFailed';
}

function asking(purpose: string): LibvirtWork {
  return { purpose, refusal: 'LibvirtQueryFailed' };
}

/** Runs calls on the URI's one connection. What libvirt refuses becomes a failure that says so in libvirt's words. */
async function withLibvirt<Made>(
  uri: string,
  { purpose, refusal }: LibvirtWork,
  work: (call: LibvirtCall) => Promise<Made>,
): Promise<Made> {
  const kept = connections.get(uri) ?? keepConnection(daemonAt(uri));
  connections.set(uri, kept);
  try {
    return await kept.use(work);
  } catch (error) {
    if (error instanceof EverbootFailure) throw error;
    throw new EverbootFailure(refusal, `libvirt did not ${purpose}: ${wordsOf(error)}`);
  }
}

function daemonAt(uri: string): Parameters<typeof keepConnection<Hypervisor>>[0] {
  return {
    title: uri,
    callTimeoutMs,
    open: async () => {
      const hypervisor = new Hypervisor({ uri });
      await hypervisor.connectOpen();
      return hypervisor;
    },
    close: (hypervisor) => hypervisor.connectClose(),
    ping: (hypervisor) => hypervisor.nodeGetInfo(),
  };
}

/**
 * The domain with this id. The binding gives no error codes and libvirt may translate its words, so that a domain is
 * absent only when a list of all domains, active or not, is without it.
 */
async function findDomain(call: LibvirtCall, instanceId: string): Promise<Domain | undefined> {
  try {
    return await call((hypervisor) => hypervisor.domainLookupByUUIDString(instanceId));
  } catch (error) {
    if (error instanceof EverbootFailure) throw error;
  }
  for (const domain of await call((hypervisor) => hypervisor.connectListAllDomains())) {
    if ((await call(() => domain.getUUIDString())) === instanceId) return domain;
  }
  return undefined;
}

async function claimOf(call: LibvirtCall, domain: Domain): Promise<Claim | undefined> {
  return readDomainXml(await call(() => domain.getXMLDesc())).claim;
}

function claimWords(owner?: Claim): string {
  return owner === undefined ? 'no claim of everboot’s' : `the claim of another operation (${owner.operationId})`;
}

/** libvirt's numbers for a domain without a process: VIR_DOMAIN_SHUTOFF and VIR_DOMAIN_CRASHED. */
const inactiveStates: ReadonlySet<number> = new Set([5, 6]);

async function isActive(call: LibvirtCall, domain: Domain): Promise<boolean> {
  return !inactiveStates.has((await call(() => domain.getInfo())).state);
}

/** More starts than this one do not come in the middle of a removal. */
const maxRemovals = 3;

/**
 * Stops and forgets the domain, and looks whether it is gone. A start that a killed worker has sent may still come
 * between the look at the domain and its undefine: libvirt lets the undefine wait for the start, and what runs then is
 * a guest that is defined nowhere, and uses disks that the undo is about to remove.
 */
async function removeWhile(isOurs: (owner?: Claim) => boolean, uri: string, instanceId: string): Promise<void> {
  const work = { purpose: `remove the domain of instance ${instanceId}`, refusal: 'DomainRemovalFailed' } as const;
  await withLibvirt(uri, work, async (call) => {
    for (let removals = 0; ; removals += 1) {
      const domain = await findDomain(call, instanceId);
      if (domain === undefined || !isOurs(await claimOf(call, domain))) return;
      if (removals === maxRemovals) break;
      await stopAndForget(call, uri, { domain, instanceId });
    }
    throw new EverbootFailure('HostIoError', `instance ${instanceId} is there again each time libvirt has removed it`);
  });
}

/** Each call may meet a guest that has just ended by itself, so a refusal counts only if the domain is still there. */
async function stopAndForget(
  call: LibvirtCall,
  uri: string,
  { domain, instanceId }: { readonly domain: Domain; readonly instanceId: string },
): Promise<void> {
  if (await isActive(call, domain)) {
    try {
      await call(() => domain.destroy());
    } catch (error) {
      const left = await findDomain(call, instanceId);
      if (left !== undefined && (await isActive(call, left))) {
        throw new EverbootFailure('HostIoError', `libvirt did not stop instance ${instanceId}: ${wordsOf(error)}`);
      }
    }
  }
  try {
    await call(() => domain.undefine());
  } catch {
    if ((await findDomain(call, instanceId)) === undefined) return;
    // The binding has no flags, and without them libvirt keeps a domain that has a saved state or firmware variables.
    const flags = ['--managed-save', '--nvram', '--snapshots-metadata', '--checkpoints-metadata'];
    try {
      await runProgram('virsh', ['-c', uri, 'undefine', instanceId, ...flags], { timeoutMs: 30_000 });
    } catch (error) {
      if (!isFailedProgram(error)) throw error;
      throw new EverbootFailure(
        'DomainRemovalFailed',
        `libvirt did not undefine instance ${instanceId}: ${error.message}`,
        { cause: error, program: error.program },
      );
    }
  }
}
