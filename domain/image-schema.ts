import { z } from 'zod';
import { absolutePath, httpUrl, isPlainUrl, oneOf, record, text } from './checked-values.ts';
import { imageFormats } from './image.ts';

const uuid = '[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}';

const glance = text('an image’s UUID, or the http or https URL of an image on another Glance', {
  maxLength: 2048,
  pattern: new RegExp(`^(?:${uuid}|https?://[^\\s\\p{Cc}\\p{Cs}]+)$`, 'u'),
}).refine((reference) => !reference.includes('/') || isPlainUrl(reference), 'a URL without a name and a password');

/** The form of a digest, for messages. */
export const digestForms = 'sha256:<64 hex digits> or sha512:<128 hex digits>';

/** In lower case from here on: a file in the cache is named after its digest. */
const digest = text(digestForms, {
  maxLength: 135,
  pattern: /^(?:sha256:[0-9A-Fa-f]{64}|sha512:[0-9A-Fa-f]{128})$/,
}).toLowerCase();

/** Whether an image may come without a digest is the host's to say ([glance] allow_unverified). */
const declared = { digest: digest.exactOptional(), format: oneOf(imageFormats) };

/** How a spec names an image. */
export const imageReference = z
  .union(
    [
      record({ glance }),
      record({ url: httpUrl('an http or https URL without a name and a password'), ...declared }),
      record({ file: absolutePath('a file on the host'), ...declared }),
    ],
    '{glance}, {url, digest, format} or {file, digest, format}',
  )
  .meta({ id: 'image' });
