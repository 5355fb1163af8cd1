/** Something of Keystone's that is known by its id, or by its name in a domain: just as the Identity API writes it. */
export type Named =
  | { readonly id: string }
  | { readonly name: string; readonly domain: { readonly id: string } | { readonly name: string } };

/** How a host proves to Keystone who it is. */
export type GlanceLogin =
  | { readonly method: 'password'; readonly user: Named; readonly password: string; readonly project: Named }
  | {
      readonly method: 'application_credential';
      readonly credential: { readonly id: string } | { readonly name: string; readonly user: Named };
      readonly secret: string;
    };

/**
 * One cloud of clouds.yaml, or of the `OS_*` variables. It holds a secret, so it goes into no message and no history.
 */
export interface GlanceCredentials {
  /** How messages call it: its name in clouds.yaml, or `envvars`. */
  readonly cloud: string;
  /** Keystone's address without `/v3` and without a slash at its end. */
  readonly authUrl: string;
  readonly login: GlanceLogin;
  /** Null: the first image endpoint of the catalog, whatever its region. */
  readonly regionName: string | null;
  readonly interface: 'public' | 'internal' | 'admin';
  /** Takes the place of the catalog's image endpoint. */
  readonly imageEndpointOverride: string | null;
  /** The certificates, in PEM, that alone vouch for the servers of this cloud; null: those that Node knows. */
  readonly caCertificates: string | null;
}
