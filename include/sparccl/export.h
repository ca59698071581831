/* Marks what libsparccl exports; everything else stays hidden. */
#ifndef SPARCCL_EXPORT_H_
#define SPARCCL_EXPORT_H_

#define SPARCCL_API __attribute__((visibility("default")))

#endif
