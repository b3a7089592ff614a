// For those who listen: what others wrote since this window was opened, for a screen reader to say.
import type { Thread } from './notes'

/** Puts each new comment of somebody else into an element that screen readers follow. */
export class Announcer {
  private readonly heard = new Set<string>()
  private listening = false

  constructor (
    private readonly element: HTMLElement, private readonly me: string, private readonly nameOf: (id: string) => string
  ) {}

  /** What is there before the page has come in whole (`synced`) is no news. */
  tell (threads: Thread[], synced: boolean): void {
    for (const { comments } of threads) {
      for (const { id, creator, body } of comments) {
        if (this.listening && !this.heard.has(id) && creator !== this.me) {
          this.element.textContent = `${this.nameOf(creator)} wrote: ${body}`
        }
        this.heard.add(id)
      }
    }
    this.listening ||= synced
  }
}
