/* backup_names.h - removing the files of a backup, and nothing else, from a directory. */
#ifndef DW_CORE_LOG_BACKUP_NAMES_H
#define DW_CORE_LOG_BACKUP_NAMES_H

/* Unlink every volume, blank, superblock, temporary and dwal.backup in the directory. 0, or -errno; -ENOTEMPTY when there is
 * anything else in it (that stays). */
int dw_backup_names_clear(int directory);

#endif
