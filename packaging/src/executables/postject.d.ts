declare module 'postject' {
  /** Writes a resource into an executable, in place. Rejects where the fuse is not found in it exactly once. */
  export function inject(
    filename: string,
    resourceName: string,
    resourceData: Buffer,
    options?: {
      readonly sentinelFuse?: string;
      readonly overwrite?: boolean;
      readonly machoSegmentName?: string;
    },
  ): Promise<void>;
}
