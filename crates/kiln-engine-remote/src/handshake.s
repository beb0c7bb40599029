# What a worker runs before anything else, for x86-64: is the root that kiln made the root that its programs see, and nothing
# more? It stands in a root of its own, at /kiln/handshake, and ends with 0 if it is alone there and reaches nobody,
# with 11 if there is a /usr, and with 12 if a route leads outside. It sends nothing.
# Made by: as -o handshake.o handshake.s && ld -s -n -z noexecstack --build-id=none -o handshake handshake.o
    .globl _start
    .text
_start:
    mov $21, %eax               # access("/usr", F_OK)
    lea usr(%rip), %rdi
    xor %esi, %esi
    syscall
    mov $11, %edi
    test %rax, %rax
    jns end
    mov $41, %eax               # socket(AF_INET, SOCK_DGRAM, 0)
    mov $2, %edi
    mov $2, %esi
    xor %edx, %edx
    syscall
    test %rax, %rax
    js alone
    mov %eax, %edi
    mov $42, %eax               # connect(): of a datagram socket, this only looks for a route
    lea outside(%rip), %rsi
    mov $16, %edx
    syscall
    mov $12, %edi
    test %rax, %rax
    jns end
alone:
    xor %edi, %edi
end:
    mov $60, %eax               # exit()
    syscall
usr:
    .asciz "/usr"
    .align 4
outside:
    .short 2                    # AF_INET, port 9, 198.51.100.1: an address of documentation (RFC 5737)
    .byte 0, 9, 198, 51, 100, 1
    .quad 0
