// The page document (flat root maps, one JSON value per key) as threads, and one transaction per gesture.
import * as Y from 'yjs'
import type { Selector } from './anchor'

export interface Annotation {
  creator: string
  created: number
  target: { selector: Selector[] }
  broadcastId?: string
}

export interface Comment {
  creator: string
  created: number
  body: string
  parent?: string
  edited?: number
  broadcastId?: string
}

/** Who deleted something, and when. */
export interface Deletion {
  entity: string
  by: string
  at: number
}

/** What a moderator says of a thread, or of `page`. */
interface Closing {
  by: string
  at: number
  closed: boolean
}

interface Resolution {
  by: string
  at: number
  resolved: boolean
  broadcastId?: string
}

export interface Thread {
  id: string
  annotation: Annotation
  comments: Array<Comment & { id: string }>
  resolved: boolean
  closed: boolean
}

/** What one user sees of a page and does to it. Ids are UUIDv7, times are milliseconds. */
export class Notes {
  private readonly annotations
  private readonly comments
  private readonly resolved
  private readonly reactions
  private readonly deleted
  private readonly closings

  constructor (readonly doc: Y.Doc, readonly user: string) {
    this.annotations = doc.getMap<Annotation>('annotations')
    this.comments = doc.getMap<Comment>('comments')
    this.resolved = doc.getMap<Resolution>('resolved')
    this.reactions = doc.getMap<object>('reactions')
    this.deleted = doc.getMap<{ by: string, at: number }>('deleted')
    this.closings = doc.getMap<Closing>('closed')
  }

  /** Whether moderators let nothing new be written in a thread, or on the `page`. */
  closed (name: string): boolean {
    return this.closings.get(name)?.closed === true
  }

  /** Calls back after each change of this window, and once after a burst of other people's. */
  onChange (call: () => void): void {
    let queued = 0
    this.doc.on('afterTransaction', ({ local, changed }) => {
      if (changed.size === 0) return
      if (local) return call()
      queued ||= setTimeout(() => { queued = 0; call() })
    })
  }

  /** All threads that are not deleted, each with its comments in the order of their making. */
  threads (): Thread[] {
    const gone = new Set([...this.deleted.keys()].map((name) => name.slice(0, name.lastIndexOf('/'))))
    const threads = new Map<string, Thread>()
    for (const [id, annotation] of this.annotations.entries()) {
      if (gone.has(id)) continue
      const resolved = this.resolved.get(id)?.resolved === true
      threads.set(id, { id, annotation, comments: [], resolved, closed: this.closed(id) })
    }
    for (const [name, comment] of this.comments.entries()) {
      const [thread = '', id = ''] = name.split('/')
      if (!gone.has(name)) threads.get(thread)?.comments.push({ ...comment, id })
    }
    for (const thread of threads.values()) {
      thread.comments.sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1))
    }
    return [...threads.values()]
  }

  /** What was deleted, the newest first; what it was only the server knows. */
  deletions (): Deletion[] {
    const all = [...this.deleted.entries()].map(([name, { by, at }]) => ({ entity: name.slice(0, name.lastIndexOf('/')), by, at }))
    return all.sort((a, b) => b.at - a.at)
  }

  /** A new annotation with its first comment. Returns its id. */
  annotate (selector: Selector[], body: string): string {
    const id = uuid7()
    this.gesture((stamp) => {
      this.annotations.set(id, { ...stamp, target: { selector } })
      this.comments.set(`${id}/${uuid7()}`, { ...stamp, body })
    })
    return id
  }

  reply (thread: string, body: string): void {
    this.gesture((stamp) => this.comments.set(`${thread}/${uuid7()}`, { ...stamp, body }))
  }

  edit (thread: string, comment: string, body: string): void {
    const name = `${thread}/${comment}`
    const old = this.comments.get(name)
    if (old === undefined || old.body === body) return
    this.gesture(({ created, broadcastId }) =>
      this.comments.set(name, { ...old, body, edited: created, broadcastId }))
  }

  resolve (thread: string, resolved: boolean): void {
    this.gesture(({ creator, created, broadcastId }) =>
      this.resolved.set(thread, { by: creator, at: created, resolved, broadcastId }))
  }

  /** Deletes a thread, or one comment of it: an entry that stays, and the removal of what it names. */
  delete (thread: string, comment?: string): void {
    const name = comment === undefined ? thread : `${thread}/${comment}`
    this.gesture(({ creator, created, broadcastId }) => {
      const entry = `${name}/${encodeURIComponent(creator)}`
      this.deleted.set(entry, { by: creator, at: created, broadcastId })
      removeBelow(this.reactions, name)
      if (comment !== undefined) return this.comments.delete(name)
      removeBelow(this.comments, name)
      this.resolved.delete(name)
      this.annotations.delete(name)
    })
  }

  /**
   * Calls back when the server takes back something this user wrote: a removal without an entry in
   * `deleted`, or an edit that gives way to an older text.
   */
  onTakenBack (call: () => void): void {
    const watch = <T extends { creator: string, edited?: number }>(map: Y.Map<T>): void => map.observe((event, transaction) => {
      if (transaction.local) return
      for (const [name, { action, oldValue }] of event.changes.keys) {
        if (oldValue?.creator !== this.user || this.hasEntry(name)) continue
        const value = event.target.get(name)
        if (action === 'delete' || (oldValue.edited ?? 0) > (value?.edited ?? 0)) call()
      }
    })
    watch(this.annotations)
    watch(this.comments)
  }

  private hasEntry (name: string): boolean {
    const [thread = ''] = name.split('/')
    return [...this.deleted.keys()].some((entry) =>
      entry.startsWith(`${name}/`) || entry.slice(0, entry.lastIndexOf('/')) === thread)
  }

  /** One gesture is one transaction, hence one update on the wire, one verdict and one event. */
  private gesture (
    act: (stamp: { creator: string, created: number, broadcastId: string }) => void
  ): void {
    const stamp = { creator: this.user, created: Date.now(), broadcastId: uuid7() }
    this.doc.transact(() => act(stamp), this)
  }
}

function removeBelow<T> (map: Y.Map<T>, name: string): void {
  for (const key of [...map.keys()]) if (key.startsWith(`${name}/`)) map.delete(key)
}

/** RFC 9562 version 7: 48 bits of milliseconds, then randomness (works without a secure context). */
export function uuid7 (now = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (8 * (5 - i))) % 256
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
