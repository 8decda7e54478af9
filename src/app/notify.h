/* notify.h - tells systemd how the service is doing (Type=notify); silent when nobody asked.
 * Thread:  the main thread.
 * Memory:  none.
 * Failure: ignored: the service goes on. */
#ifndef APP_NOTIFY_H
#define APP_NOTIFY_H

/* "READY=1", "RELOADING=1", "STOPPING=1"... */
void notify_service(const char *state);

#endif
