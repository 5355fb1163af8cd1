import { z } from 'zod';

/** A logical volume, as lvm2 reports it. */
export interface LogicalVolume {
  readonly volumeGroup: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  /** The thin pool that it takes its blocks from; null for a volume with extents of its own. */
  readonly thinPool: string | null;
}

export interface ThinPool {
  readonly name: string;
  readonly freeBytes: number;
  /** Whether the pool zeroes a block before its first use. */
  readonly zeroesBlocks: boolean;
  /** dmeventd watches it, and may make it larger out of the volume group. */
  readonly isMonitored: boolean;
  /** `out_of_data`, `metadata_read_only`, `failed`; empty when nothing is wrong. */
  readonly health: string;
}

export interface VolumeGroup {
  readonly name: string;
  readonly freeBytes: number;
  /** Every volume has a whole number of these. */
  readonly extentBytes: number;
  readonly volumes: readonly LogicalVolume[];
  readonly thinPools: readonly ThinPool[];
}

/** The fields read of each volume, by lvm2's names. Those of its segments make a row for each of them. */
export const volumeFields = [
  ...['vg_name', 'vg_free', 'vg_extent_size', 'lv_name', 'lv_size', 'lv_tags', 'pool_lv'],
  ...['segtype', 'zero', 'data_percent', 'seg_monitor', 'lv_health_status'],
];

export const groupFields = ['vg_name', 'vg_free', 'vg_extent_size'];

const name = z.string().max(128);
const bytes = z.string().regex(/^\d+$/).transform(Number).pipe(z.int());
const word = z.string().max(64);

const groupRow = z.object({ vg_name: name, vg_free: bytes, vg_extent_size: bytes });

const volumeRow = z.object({
  vg_name: name,
  lv_name: name,
  lv_size: bytes,
  lv_tags: z.string(),
  pool_lv: name,
  segtype: word,
  zero: word,
  data_percent: word,
  seg_monitor: word,
  lv_health_status: word,
});

type VolumeRow = z.infer<typeof volumeRow>;

const reportOf = <Row extends z.ZodType>(key: 'vg' | 'lv', row: Row) =>
  z.object({ report: z.tuple([z.object({ [key]: z.array(row) })]) });

/** Reads a report of one volume group. Throws SyntaxError or ZodError when it is not what lvm2 prints. */
export function parseGroupReport(json: string): Omit<VolumeGroup, 'volumes' | 'thinPools'> | undefined {
  const [row] = reportOf('vg', groupRow).parse(JSON.parse(json)).report[0].vg ?? [];
  return row && { name: row.vg_name, freeBytes: row.vg_free, extentBytes: row.vg_extent_size };
}

/** Reads a report of volumes. Throws SyntaxError or ZodError when it is not what lvm2 prints. */
export function parseVolumeReport(json: string): Pick<VolumeGroup, 'volumes' | 'thinPools'> {
  const segments = reportOf('lv', volumeRow).parse(JSON.parse(json)).report[0].lv ?? [];
  const rows = onePerVolume(segments);
  const isPool = ({ segtype }: VolumeRow): boolean => segtype === 'thin-pool';
  return { volumes: rows.filter((row) => !isPool(row)).map(volumeOf), thinPools: rows.filter(isPool).map(poolOf) };
}

/** A volume that was extended around another has several segments. A pool, whose segment is asked about, has one. */
function onePerVolume(segments: readonly VolumeRow[]): readonly VolumeRow[] {
  return [...new Map(segments.map((row) => [`${row.vg_name}/${row.lv_name}`, row])).values()];
}

function volumeOf(row: VolumeRow): LogicalVolume {
  return {
    volumeGroup: row.vg_name,
    name: row.lv_name,
    sizeBytes: row.lv_size,
    tags: row.lv_tags.split(',').filter((tag) => tag !== ''),
    thinPool: row.pool_lv === '' ? null : row.pool_lv,
  };
}

function poolOf(row: VolumeRow): ThinPool {
  const usedPercent = Number(row.data_percent);
  return {
    name: row.lv_name,
    freeBytes: Math.floor((row.lv_size * (100 - usedPercent)) / 100),
    zeroesBlocks: row.zero === '1',
    isMonitored: row.seg_monitor === 'monitored',
    health: row.lv_health_status,
  };
}
