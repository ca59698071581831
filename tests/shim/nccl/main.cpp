// The client as a program that is linked with NCCL.
extern "C" int client_main(int argc, char** argv);

int main(int argc, char** argv) { return client_main(argc, argv); }
