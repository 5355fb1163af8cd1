import type { HostActivities } from '../domain/host-activities.ts';
import { claimBaseImage } from './claim-base-image.ts';
import type { Host } from './context/host.ts';
import { convertImage } from './convert-image.ts';
import { copyBootFile } from './copy-boot-file.ts';
import { createBlankDisk } from './create-blank-disk.ts';
import { createRootDisk } from './create-root-disk.ts';
import { defineDomain, removeDomain, startDomain } from './define-domain.ts';
import { deleteDomain, deleteFiles, readInstance } from './delete-instance.ts';
import { downloadImage } from './download-image.ts';
import { extractRootFileSystem } from './extract-root-file-system.ts';
import { growFileSystem } from './grow-file-system.ts';
import { injectFiles } from './inject-files.ts';
import { listCachedFiles, pinCachedFile, planFetch, scrubCachedFiles, sweepCachedFiles } from './maintain-cache.ts';
import { markReady } from './mark-ready.ts';
import { planInstance } from './plan-instance.ts';
import { publishBaseImage } from './publish-base-image.ts';
import { reconcileHost } from './reconcile-host.ts';
import { releaseInstance } from './release-instance.ts';
import { removeOrphans } from './remove-orphans.ts';
import { reserveInstance } from './reserve-instance.ts';
import { resumeGuests } from './resume-guests.ts';
import { verifyImage } from './verify-image.ts';
import { writeConfigDrive } from './write-config-drive.ts';

/** Binds every step to the machine that it acts on. */
export function activitiesOn(host: Host): HostActivities {
  return {
    planInstance: (request) => planInstance(host, request),
    reserveInstance: (order) => reserveInstance(host, order),
    claimBaseImage: (order) => claimBaseImage(host, order),
    downloadImage: (order) => downloadImage(host, order),
    verifyImage: (order) => verifyImage(host, order),
    convertImage: (order) => convertImage(host, order),
    publishBaseImage: (order) => publishBaseImage(host, order),
    createRootDisk: (order) => createRootDisk(host, order),
    extractRootFileSystem: (order) => extractRootFileSystem(host, order),
    createEphemeralDisk: (order) => createBlankDisk(host, order),
    createSwapDisk: (order) => createBlankDisk(host, order),
    copyBootFile: (order) => copyBootFile(host, order),
    writeConfigDrive: (order) => writeConfigDrive(host, order),
    growFileSystem: (order) => growFileSystem(host, order),
    injectFiles: (order) => injectFiles(host, order),
    defineDomain: (order) => defineDomain(host, order),
    startDomain: (order) => startDomain(host, order),
    markReady: (order) => markReady(host, order),
    releaseInstance: (order) => releaseInstance(host, order),
    removeDomain: (order) => removeDomain(host, order),
    removeOrphans: (order) => removeOrphans(host, order),
    readInstance: (order) => readInstance(host, order),
    deleteDomain: (order) => deleteDomain(host, order),
    deleteFiles: (order) => deleteFiles(host, order),
    pingHost: async () => undefined,
    listCachedFiles: () => listCachedFiles(host),
    sweepCachedFiles: (order) => sweepCachedFiles(host, order),
    scrubCachedFiles: (order) => scrubCachedFiles(host, order),
    pinCachedFile: (order) => pinCachedFile(host, order),
    planFetch: (order) => planFetch(host, order),
    reconcileHost: (order) => reconcileHost(host, order),
    resumeGuests: () => resumeGuests(host),
  };
}
