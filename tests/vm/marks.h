/* marks.h - what the writer in the guest tells the judge on the host, in the write log itself.
 *
 * Each line is the text of one MARK entry of dm-log-writes: it lies behind every write that was on stable storage when it was
 * said, and before every write that was sent later. */
#ifndef DW_TESTS_VM_MARKS_H
#define DW_TESTS_VM_MARKS_H

/* Each begins with the log's name and a slash. No spaces: they would end the message of a device mapper target. */
#define VM_MARK_CREATED  "created"          /* dwal_create returned */
#define VM_MARK_ACK      "ack:%u:%llu:%llu" /* lane, sequence number, lsn: this entry is durable */
#define VM_MARK_TRIMMING "trimming:%llu"    /* dwal_trim is about to be called */
#define VM_MARK_TRIMMED  "trimmed:%llu"     /* ... and returned 0 */
#define VM_MARK_FINISHED "finished"         /* of no log: nothing follows that matters, the record is whole */
enum { VM_MARK_SIZE = 128 };

/* What both sides must give dwal_create and dwal_open alike: a small log, so that volumes change often. */
#define VM_VOLUME_SIZE    (256u << 10)
#define VM_RING_SIZE      (256u << 10)
#define VM_WRITE_SIZE_MAX (8u << 10) /* several in flight for one entry */
#define VM_BLANKS         2u

#endif
