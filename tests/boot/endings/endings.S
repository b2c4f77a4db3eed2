// A machine in 60 instructions that ends as it is told: what boot check 05-launcher runs instead of undercroft.elf.
//
// Entered by the PVH note in 32-bit mode, ebx = start_info. The first letter of the machine's command line (QEMU's -append) chooses:
// a to f writes 10 to 15 to the exit device, 1 writes 1, p powers off by ACPI, r resets, anything else hangs.
// It first writes C to the first serial port and L to the second.

    .section .note.Xen, "a", @note
    .long 4, 4, 18          // name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long endings_entry

    .text
    .code32
    .globl endings_entry
endings_entry:
    movl 24(%ebx), %esi     // start_info.cmdline_paddr
    movb (%esi), %cl
    movw $0x3f8, %dx
    movb $'C', %al
    outb %al, %dx
    movw $0x2f8, %dx
    movb $'L', %al
    outb %al, %dx

    cmpb $'p', %cl
    je power_off
    cmpb $'r', %cl
    je reset
    movb $1, %al
    cmpb $'1', %cl
    je leave
    movb %cl, %al
    subb $('a' - 10), %al
    cmpb $10, %al
    jb hang
    cmpb $15, %al
    ja hang
leave:
    outb %al, $0xf4
hang:
    cli
    hlt
    jmp hang

power_off:
    movw $0x604, %dx        // PM1a_CNT where SeaBIOS puts it: SLP_EN with sleep type 0, which is S5
    movw $0x2000, %ax
    outw %ax, %dx
    jmp hang

reset:
    movw $0xcf9, %dx
    movb $6, %al
    outb %al, %dx
    jmp hang

    .section .note.GNU-stack, "", @progbits
