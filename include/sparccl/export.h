/* Marks what libsparccl exports; everything else stays hidden. */
#ifndef SPARCCL_EXPORT_H_
#define SPARCCL_EXPORT_H_

#define SPARCCL_API __attribute__((visibility("default")))
#define SPARCCL_LOCAL __attribute__((visibility("hidden"))) /* inside of what is exported */

#endif
