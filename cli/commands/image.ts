import { stat } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { EverbootFailure } from '../../domain/failures.ts';
import { type ImageFormat, imageFormats } from '../../domain/image.ts';
import { sizeText } from '../../domain/sizes.ts';
import { exitCodes } from '../exit-codes.ts';
import { outputOf } from '../output.ts';
import { loadSettings } from '../settings.ts';
import { nameTable } from '../text-table.ts';

export function addImageCommand(program: Command): void {
  program
    .command('image')
    .description('inspect image files')
    .command('inspect <file>')
    .description('say whether a host accepts an image file, and if not, why')
    .addOption(
      new Option('--format <format>', 'what it is declared to be; else it is only detected').choices(imageFormats),
    )
    .action(async (file: string, { format }: { format?: ImageFormat }, command: Command) => {
      await checkFile(file);
      const { configuration } = await loadSettings();
      const { inspectImageFile } = await import('../../hypervisor/image-inspector/inspect-image-file.ts');
      const limits = { maxVirtualSizeBytes: configuration.glance.imageMaxBytes };
      const inspected = { file, ...(await inspectImageFile(file, format ?? null, limits)) };
      outputOf(command).result(inspected, inspectionText(inspected));
      if (inspected.verdict === 'refused') process.exitCode = exitCodes.imageRefused;
    });
}

async function checkFile(file: string): Promise<void> {
  const problem = await stat(file).then(
    (stats) => (stats.isFile() ? null : 'is no file'),
    (error: NodeJS.ErrnoException) => `cannot be read (${error.code})`,
  );
  if (problem === null) return;
  throw new EverbootFailure('UsageInvalid', `${file} ${problem}`, { remedy: 'Name an image file.' });
}

interface Inspection {
  readonly file: string;
  readonly declaredFormat: string | null;
  readonly detectedFormat: string | null;
  readonly virtualSizeBytes: number | null;
  readonly fileSizeBytes: number | null;
  readonly verdict: string;
  readonly code: string | null;
  readonly reasons: readonly string[];
}

function inspectionText(inspected: Inspection): string {
  const { file, verdict, code, reasons, declaredFormat, detectedFormat, virtualSizeBytes, fileSizeBytes } = inspected;
  const size = (bytes: number | null): string => (bytes === null ? 'unknown' : sizeText(bytes));
  return [
    `${file}: ${verdict}${code === null ? '' : ` (${code})`}`,
    ...nameTable({
      declared: declaredFormat ?? 'nothing',
      detected: detectedFormat ?? 'unknown',
      'virtual size': size(virtualSizeBytes),
      'file size': size(fileSizeBytes),
    }),
    ...reasons.map((reason) => `  - ${reason}`),
  ].join('\n');
}
