import type { Database, Migrations } from '@morpheo/service/database';
import type { Generated, Transaction } from 'kysely';

/** The collections of the orchestrator, by the name in its paths. */
export type Collection = 'problem' | 'algo' | 'data' | 'learnuplet' | 'preduplet';

/** A document: JSON with a `uuid`, whose other members depend on the collection. */
export interface Document {
  readonly uuid: string;
  readonly [member: string]: unknown;
}

/** The one table: documents, and which of them are still to be posted to compute-api. */
export interface OrchestratorSchema {
  documents: { seq: Generated<number>; collection: Collection; uuid: string; body: string; to_post: number };
}

/** A transaction on the documents. */
export type DocumentsTx = Transaction<OrchestratorSchema>;

/** The schema's history. */
export const migrations: Migrations = {
  '001-documents': async ({ schema }) => {
    await schema
      .createTable('documents')
      .addColumn('seq', 'integer', (column) => column.primaryKey().autoIncrement())
      .addColumn('collection', 'text', (column) => column.notNull())
      .addColumn('uuid', 'text', (column) => column.notNull())
      .addColumn('body', 'text', (column) => column.notNull())
      .addColumn('to_post', 'integer', (column) => column.notNull())
      .addUniqueConstraint('documents_name', ['collection', 'uuid'])
      .execute();
    await schema.createIndex('documents_to_post').on('documents').columns(['to_post', 'seq']).execute();
  },
};

/** The statements on documents. */
export const documents = {
  /** Adds a document; `toPost`: compute-api is to be told of it. False where its uuid is taken. */
  async add(tx: DocumentsTx, collection: Collection, document: Document, toPost = false): Promise<boolean> {
    const added = await tx
      .insertInto('documents')
      .values({ collection, uuid: document.uuid, body: JSON.stringify(document), to_post: toPost ? 1 : 0 })
      .onConflict((conflict) => conflict.columns(['collection', 'uuid']).doNothing())
      .executeTakeFirst();
    return added.numInsertedOrUpdatedRows !== 0n;
  },

  /** Replaces a document; `toPost` as for {@link documents.add}, unchanged where absent. */
  async replace(
    tx: DocumentsTx,
    collection: Collection,
    document: Document,
    toPost?: boolean,
  ): Promise<void> {
    await tx
      .updateTable('documents')
      .set({ body: JSON.stringify(document), ...(toPost === undefined ? {} : { to_post: toPost ? 1 : 0 }) })
      .where('collection', '=', collection)
      .where('uuid', '=', document.uuid)
      .execute();
  },

  /** One document, or undefined. */
  async find(
    source: DocumentsTx | Database<OrchestratorSchema>['read'],
    collection: Collection,
    uuid: string,
  ): Promise<Document | undefined> {
    const row = await source
      .selectFrom('documents')
      .select('body')
      .where('collection', '=', collection)
      .where('uuid', '=', uuid)
      .executeTakeFirst();
    return row === undefined ? undefined : read(row.body);
  },

  /** The documents of a collection whose members equal those of `filter`, oldest first. */
  async list(
    source: DocumentsTx | Database<OrchestratorSchema>['read'],
    collection: Collection,
    filter: Readonly<Record<string, unknown>> = {},
  ): Promise<Document[]> {
    const rows = await source
      .selectFrom('documents')
      .select('body')
      .where('collection', '=', collection)
      .orderBy('seq')
      .execute();
    const wanted = Object.entries(filter);
    return rows
      .map((row) => read(row.body))
      .filter((document) => wanted.every(([member, value]) => String(document[member]) === String(value)));
  },

  /** Up to 100 documents that compute-api is still to be told of, oldest first. */
  async toPost(
    source: Database<OrchestratorSchema>['read'],
  ): Promise<{ collection: Collection; document: Document }[]> {
    const rows = await source
      .selectFrom('documents')
      .select(['collection', 'body'])
      .where('to_post', '=', 1)
      .orderBy('seq')
      .limit(100)
      .execute();
    return rows.map((row) => ({ collection: row.collection, document: read(row.body) }));
  },
};

/** JSON of our own table: checked before it was written. */
function read(body: string): Document {
  return JSON.parse(body) as Document;
}
